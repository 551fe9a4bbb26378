"""Deep models in the running system: from its log to a trained version, and from a version to the worker's lists."""
