"""A method that keeps the contract and computes nothing of worth: quick, slow, failing or endless as asked."""
