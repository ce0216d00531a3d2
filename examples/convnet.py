"""A convolutional network learns scanned digits. The same in Keras: convnet_keras.py."""

import lamina as lm

network = lm.Sequential(
    *(lm.Conv(32, 3), lm.relu),
    *(lm.Conv(64, 3), lm.relu, lm.MaxPool(2)),
    *(lm.Flatten(), lm.Dropout(0.5), lm.Dense(10)),
)
run = lm.fit(network, "digits", epochs=20, seed=0)
print(f"test accuracy {run.test['accuracy'][0]:.1%}")
