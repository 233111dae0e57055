"""The network: encoder of the graph, fusion with the features, hazard head, losses. Importing a module loads torch."""
