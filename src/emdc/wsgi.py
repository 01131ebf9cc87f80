"""EMDC for WSGI servers: `gunicorn emdc.wsgi`, `uwsgi --module emdc.wsgi`.

Importing it starts the collector, since a WSGI server tells an application of no other start. One
process reads the meters, whatever the number of workers; see docs/wsgi.md. Settings come from the
environment; those that cannot be used raise ConfigError here.
"""

from emdc.hosting import relay

application = relay.deployed()
"""The WSGI application."""
