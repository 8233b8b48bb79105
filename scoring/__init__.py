"""Predictions to neutrophil burden and report; arrays and frames only."""
