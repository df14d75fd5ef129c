"""What a command says, laid out: texts, tables and lists, shown on a terminal, as Markdown or as an HTML page."""
