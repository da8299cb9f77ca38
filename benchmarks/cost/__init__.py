"""What the cost model is fitted on and judged by: operations and networks made from seeds."""
