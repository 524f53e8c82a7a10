"""Training of K runs at once: trainer, learners, autotuning."""
