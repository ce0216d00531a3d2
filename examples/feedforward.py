"""A feed-forward network learns scanned digits. The same in Keras: feedforward_keras.py."""

import lamina as lm

network = lm.Sequential(
    lm.Flatten(),
    lm.Dense(64),
    lm.relu,
    lm.Dense(64),
    lm.relu,
    lm.Dense(10),
)
run = lm.fit(network, "digits", epochs=20, seed=0)
print(f"test accuracy {run.test['accuracy'][0]:.1%}")
