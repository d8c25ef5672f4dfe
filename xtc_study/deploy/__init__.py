"""Turn a trained student into a scored file: evaluate, predict, export, measure speed."""
