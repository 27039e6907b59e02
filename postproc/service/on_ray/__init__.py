"""Networks on Ray Serve: `RayEngine` in front ends, `NetworkReplica` on the machines of a cluster."""
