"""Looking at a sweep from outside: what its journal says while another process, maybe on another machine, trains."""
