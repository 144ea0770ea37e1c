"""Documents made from the catalogue: OpenAPI, AsyncAPI, the reference page and the verifier."""
