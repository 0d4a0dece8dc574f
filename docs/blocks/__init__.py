"""The generated parts of the documentation, one module per subject. Each function answers Markdown."""
