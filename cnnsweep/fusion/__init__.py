"""K models of one architecture as one: traced with torch.fx, and run node by node in K-run form."""
