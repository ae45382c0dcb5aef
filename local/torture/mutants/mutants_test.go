package mutants_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"

	"github.com/yunduo-scrm/archive/local/torture/mutants"
)

// Every mutant still changes the product, and the changed file is still Go. That the
// simulation finds each is shown by make torture PART=mutants.
func TestMutantsFitTheSource(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants.All {
		dir := t.TempDir()
		if _, err := m.Overlay(root, dir); err != nil {
			t.Error(err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, filepath.Base(m.File)), nil, 0); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}
