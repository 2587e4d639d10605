"""RASP programs of known circuit, one a file with the constant PROGRAM.

A new file is listed, compiled, verified and examined without another edit. It defines ``build(rasp)``, which names
the intermediate variables with ``.named("identifier")`` and writes ``rasp.Map(..., simplify=False)`` wherever a Map
follows a Map. Tokens that an Aggregate may gather from several positions must be numbers: RASP cannot average text.
"""
