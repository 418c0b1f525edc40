"""What crosses a wire or lands in a store: the ground floor on which every other room stands."""
