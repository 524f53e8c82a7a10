"""Networks: the tutorials', torchvision's and a person's own."""
