"""Django's schema editor for SQLite, which adds a column with a constant default without a copy of its table."""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.sqlite3.schema import DatabaseSchemaEditor
from django.db.models import Field, Model
from django.db.models.expressions import Value


class SchemaEditor(DatabaseSchemaEditor):
    def add_field(self, model: type[Model], field: "Field[Any, Any]") -> None:
        constant = field.has_db_default() and isinstance(field._db_default_expression, Value)  # type: ignore[attr-defined]
        if constant and not (field.unique or field.remote_field):
            # Django copies the table for each column that is not null; SQLite only needs a default that is a constant.
            BaseDatabaseSchemaEditor.add_field(self, model, field)
        else:
            super().add_field(model, field)
