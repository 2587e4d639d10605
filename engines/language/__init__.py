"""Tasks that are put to language models as prompts, a file each with the constant ``TASK`` (``engines.prompting``)."""
