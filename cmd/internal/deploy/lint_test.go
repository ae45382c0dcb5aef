package deploy_test

import "testing"

// cfn-lint knows the types and properties that each region has, including the
// regions of China.
func TestLint(t *testing.T) {
	t.Parallel()
	var out []struct {
		Name    string
		Matches []string
	}
	python(t, "lint.py", "cfnlint", "cfn-lint>=1.51", &out)
	if len(out) != len(deployments(t)) {
		t.Fatalf("results: got %d, want one for each of %d deployments", len(out), len(deployments(t)))
	}
	for _, d := range out {
		for _, m := range d.Matches {
			t.Errorf("%s: %s", d.Name, m)
		}
	}
}
