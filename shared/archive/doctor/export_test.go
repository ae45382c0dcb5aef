package doctor

import (
	"maps"
	"slices"
)

// OwnCauses lists the causes that only the doctor names.
func OwnCauses() []Cause { return slices.Sorted(maps.Keys(texts)) }
