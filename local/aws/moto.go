package aws

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Python returns the Python that has the packages of requirements.txt: the one
// that local/setup/setup.sh made below build/, or else the system's. Programs
// and tests of the repository run in the folder of go.mod or below.
func Python() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			own := filepath.Join(dir, "build", "python", "bin", "python3")
			if _, err := os.Stat(own); !errors.Is(err, fs.ErrNotExist) {
				return own, err
			}
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", errors.New("python3 is missing, which runs moto (S3, SQS, Secrets Manager): run make run or make test once, which install it, or install Python 3.11 or newer")
	}
	return python, nil
}

// findPython returns a Python that has moto's server.
func findPython(ctx context.Context) (string, error) {
	python, err := Python()
	if err != nil {
		return "", err
	}
	// Finding is much quicker than importing, and as good: the server itself
	// reports what else it lacks.
	const look = `import importlib.util as u, sys; sys.exit(not (u.find_spec("moto") and u.find_spec("flask")))`
	if err := exec.CommandContext(ctx, python, "-c", look).Run(); err != nil {
		return "", fmt.Errorf("moto's server (S3, SQS, Secrets Manager) is missing: run make run or make test once, which install it, or python3 -m pip install 'moto[server]'")
	}
	return python, nil
}

//go:embed motoserver.py
var motoProgram string

func motoCommand(python string) []string {
	return []string{python, "-u", "-c", motoProgram, "-H", "127.0.0.1", "-p", "0"}
}
