package archive

import "errors"

var (
	// ErrImportsToday means that the corp has used its imports of the day.
	ErrImportsToday = errors.New("imports of the day used up")
	// ErrImports means that the corp has used all its imports.
	ErrImports = errors.New("imports used up")
)

// KeyBudget bounds the private keys of a corp and says how much of the bounds
// is used. A stored private key is never removed (law 6), and it costs the
// operator money each month. The keys that are not proved follow from the
// corp's [KeySet]. Imports are counted here when they begin, because a private
// key is stored before its public half.
type KeyBudget struct {
	// The bounds, which an operator may raise.
	Unproved      int // keys that were made here and have not opened a message
	ImportsPerDay int
	Imports       int // in all

	Day   Day // on which Today counts, in Beijing; empty before the first import
	Today int // imports begun on Day
	Begun int // imports begun in all
	// Rev is the number of changes so far. A store changes the budget only if
	// Rev is the stored one.
	Rev uint64
}

// NewKeyBudget is the budget of a corp until an operator raises it.
func NewKeyBudget() KeyBudget {
	return KeyBudget{Unproved: 2, ImportsPerDay: 20, Imports: 100}
}

// BeginImport takes an import of a day from the budget, or answers
// [ErrImportsToday] or [ErrImports].
func (b KeyBudget) BeginImport(day Day) (KeyBudget, error) {
	if b.Day != day {
		b.Day, b.Today = day, 0
	}
	switch {
	case b.Begun >= b.Imports:
		return b, ErrImports
	case b.Today >= b.ImportsPerDay:
		return b, ErrImportsToday
	}
	b.Today++
	b.Begun++
	return b, nil
}

// Unproved counts the keys that were made here and have not opened a message.
func (s KeySet) Unproved() int {
	proved := make(map[string]bool)
	for _, b := range s.Bindings {
		proved[b.KeyID] = true
	}
	n := 0
	for _, k := range s.Keys {
		if k.Origin == KeyMade && !proved[k.ID] {
			n++
		}
	}
	return n
}
