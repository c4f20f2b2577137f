"""The results of a batch as one table: a row an item, whoever made it and whenever."""
