package aws

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// findPython returns a Python that has moto's server.
func findPython(ctx context.Context) (string, error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", errors.New("python3 is missing, which runs moto (S3, SQS, Secrets Manager): install Python 3.9 or newer")
	}
	// Finding is much quicker than importing, and as good: the server itself
	// reports what else it lacks.
	const look = `import importlib.util as u, sys; sys.exit(not (u.find_spec("moto") and u.find_spec("flask")))`
	if err := exec.CommandContext(ctx, python, "-c", look).Run(); err != nil {
		return "", fmt.Errorf("moto's server (S3, SQS, Secrets Manager) is missing: python3 -m pip install 'moto[server]'")
	}
	return python, nil
}

func motoCommand(python string) []string {
	return []string{python, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"}
}
