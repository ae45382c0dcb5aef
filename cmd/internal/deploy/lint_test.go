package deploy_test

import "testing"

// cfn-lint knows the types and properties that each region has, including the
// regions of China.
func TestLint(t *testing.T) {
	t.Parallel()
	var out []struct{ Names, Matches []string }
	python(t, "lint.py", "cfnlint", "cfn-lint>=1.51", &out)
	linted := 0
	for _, d := range out {
		linted += len(d.Names)
		for _, m := range d.Matches {
			t.Errorf("%v: %s", d.Names, m)
		}
	}
	if linted != len(deployments(t)) {
		t.Fatalf("results: got %d, want one for each of %d deployments", linted, len(deployments(t)))
	}
}
