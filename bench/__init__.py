"""The figures that EMDC promises, each measured by one module; `python -m bench` runs them all."""
