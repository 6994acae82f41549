"""What is written for people to look at: the page of one task and the page of a batch, each one HTML file without a network."""
