"""What all domains share: verbs, requests, batches, messages. Knows no domain."""
