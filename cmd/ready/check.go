package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/cloud/template"
)

// placeholders are the example values of samconfig.toml. No deployment may use
// them.
var placeholders = []string{"example.com", "111122223333"}

// check returns every reason why e cannot be deployed from the repository at
// root. It needs no build. It finds: values that are still the examples;
// parameters that CloudFormation would refuse; values that AWS would refuse only
// when half of the stack exists; a vendor library that is missing or for another
// processor than that of e. The notes name settings that are unusual but allowed.
func check(root string, e deploy.Block) (said []string, err error) {
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(e.Parameters)) {
		for _, p := range placeholders {
			if strings.Contains(e.Parameters[name], p) {
				errs = append(errs, fmt.Errorf("%s is still the example %q: set your own value in samconfig.toml", name, e.Parameters[name]))
				break
			}
		}
	}
	refused := template.Check(source, template.Options{StackName: e.Stack, Region: e.Region, Parameters: e.Parameters})
	errs = append(errs, refused)
	if refused == nil { // otherwise the checks below would repeat the errors
		errs = append(errs, checkNames(e, source), checkAPI(e), checkEgress(e), checkIAM(e))
	}
	processor, err := processor(e, source)
	if err != nil {
		return nil, err
	}
	if _, known := machines[processor]; known { // template.Check has refused any other
		errs = append(errs, checkLibrary(filepath.Join(root, "layers", "finance-sdk", "lib"), processor))
	}
	return notes(e, processor), errors.Join(errs...)
}
