"""The content of audit.json and consortium.json as types: frozen, checked, and the source of the schemas."""
