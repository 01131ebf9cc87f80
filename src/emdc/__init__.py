"""EMDC, the Energy Meter Data Collector: reads Modbus energy meters and keeps every reading."""

__version__ = "0.1.0"
