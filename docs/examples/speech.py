"""Speech: a noisy recording to a clean one."""

import sciddm

recording = sciddm.open("noisy.wav")
result = sciddm.speech.enhance(recording, quality="fast", seed=0)
print(result)
print(result.estimate.sizes)
result.save("clean.wav")
