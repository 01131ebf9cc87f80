"""A database server as other programs see it: a plain driver's connection for each question."""

from contextlib import closing
from typing import Any

import psycopg
import pymysql
from sqlalchemy import URL, Engine, make_url


def ask(database: str | URL | Engine, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements, each committed by itself; the rows of the last one. Times are in UTC."""
    url = database.url if isinstance(database, Engine) else make_url(database)
    facts: dict[str, Any] = {"host": url.host, "user": url.username, "autocommit": True}
    facts |= {"port": url.port, "password": url.password or ""}
    if url.get_backend_name() == "postgresql":
        session = "-c timezone=UTC -c datestyle=ISO -c client_encoding=utf8"
        connection: Any = psycopg.connect(**facts, dbname=url.database, options=session)
    else:
        mode = "SET time_zone = '+00:00'"
        connection = pymysql.connect(**facts, database=url.database, init_command=mode)
    with closing(connection), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.encode())
        return list(cursor.fetchall()) if cursor.description else []
