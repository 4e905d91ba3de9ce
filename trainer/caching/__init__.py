"""The binary cache of encoded records: written while a run reads, read from then on."""
