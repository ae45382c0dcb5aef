package deploy_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/needs"
)

const root = "../../.."

// read is a file of the repository.
func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(root + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func blocks(t *testing.T) map[string]deploy.Block {
	t.Helper()
	all, err := deploy.ReadBlocks(root + "/samconfig.toml")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A deployment is the input of the Python programs in testdata.
type deployment struct {
	Name       string            `json:"name"`
	Stack      string            `json:"stack"`
	Region     string            `json:"region"`
	Regions    []string          `json:"regions"`
	Parameters map[string]string `json:"parameters"`
}

// Two deployments that no block of samconfig.toml covers.
const (
	// ownNetwork has an existing network and trail, a proxy, arm64, a lock on the
	// journal, a break-glass role, a permissions boundary, reserved concurrency,
	// memory sizes, one key, the essential alarms, and messages without recovery.
	ownNetwork = "own-network"
	// moved has existing addresses, a network and zones of its own choice, and
	// neither a domain nor an address.
	moved = "moved"
)

// deployments are the blocks of samconfig.toml, ownNetwork and moved.
func deployments(t *testing.T) []deployment {
	t.Helper()
	all := blocks(t)
	var out []deployment
	for _, name := range slices.Sorted(maps.Keys(all)) {
		e := all[name]
		out = append(out, deployment{name, e.Stack, e.Region, []string{e.Region}, e.Parameters})
	}
	return append(out, deployment{ownNetwork, "own", "cn-northwest-1", []string{"cn-north-1", "cn-northwest-1", "us-east-1"}, map[string]string{
		"TrustedIps": "203.0.113.9;203.0.113.10", "VpcId": "vpc-01234567", "SubnetIds": "subnet-01234567,subnet-76543210",
		"WecomProxy": "http://10.0.0.1:8081", "DecodeIdentity": "own/identity", "PublicUrl": "https://archive.example.com",
		"JwtIssuer": "https://login.example.com", "Architecture": "arm64", "JournalLock": "COMPLIANCE", "JournalLockDays": "1825",
		"BreakGlassRole": "arn:aws-cn:iam::123456789012:role/break-glass", "Trail": "existing", "Companies": "1000",
		"ApiConcurrency": "20", "PullConcurrency": "12", "DecodeConcurrency": "24", "MediaConcurrency": "14",
		"DispatchMemory": "512", "PullMemory": "2048", "DecodeMemory": "3538", "MediaMemory": "1536",
		"Keys": "one", "Alarms": "essential", "MessagesClass": "infrequent", "MessagesBackup": "none", "PermissionsBoundary": "arn:aws-cn:iam::123456789012:policy/boundary",
	}}, deployment{moved, "moved", "us-east-1", []string{"us-east-1", "ap-east-1"}, map[string]string{
		"JwtIssuer": "https://login.example.com", "NatZones": "two", "VpcCidr": "10.20.0.0/20", "Zones": "us-east-1b,us-east-1d",
		"AddressAllocationA": "eipalloc-0123456789abcdef0/203.0.113.9", "AddressAllocationB": "eipalloc-0123456789abcdef1/203.0.113.10",
	}})
}

// python runs a program of testdata on the deployments. If a package is missing,
// it fails the test and names the command that installs the package.
func python(t *testing.T, program, module, pip string, out any) {
	t.Helper()
	needs.Python(t)
	python, err := aws.Python()
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.CommandContext(t.Context(), python, "-c", "import "+module).Run(); err != nil {
		t.Fatalf("python3 or its %s is missing: python3 -m pip install '%s'", module, pip)
	}
	in, err := json.Marshal(map[string]any{"template": root + "/template.yaml", "deployments": deployments(t)})
	if err != nil {
		t.Fatal(err)
	}
	// go test remembers a result by the files that the test itself opens.
	read(t, "template.yaml")
	source, err := os.ReadFile("testdata/" + program)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", string(source))
	// The program runs moto inside its own process, so it must not reach the
	// services that other tests started.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_ENDPOINT_URL") })
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), out); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
}

// A stack is a deployment as SAM translates it, and as moto creates it.
type stack struct {
	Name       string `json:"name"`
	Translated struct {
		Parameters map[string]map[string]any
		Mappings   map[string]map[string]map[string]int
		Conditions map[string]any
		Resources  map[string]resource
		Outputs    map[string]any
	} `json:"translated"`
	Warnings []string // of the translation
	Made     made     `json:"stack"`
}

type resource struct {
	Type                string
	Condition           string
	DeletionPolicy      string
	UpdateReplacePolicy string
	Properties          map[string]any
}

type made struct {
	Status   string            `json:"status"`
	Outputs  map[string]string `json:"outputs"`
	Types    []string          `json:"types"`
	Physical map[string]string `json:"physical"`
	Queues   map[string]map[string]string
	Tables   map[string]struct {
		Billing   string
		Protected bool
		Keys      []string
	}
	Buckets map[string]struct {
		ApplyServerSideEncryptionByDefault struct{ SSEAlgorithm, KMSMasterKeyID string }
	}
	Keys      map[string]bool // whether the key rotates
	Roles     map[string]role
	Functions map[string]struct {
		Role        string
		Timeout     int
		Memory      int
		Environment map[string]string
		Subnets     []string
	}
	Mappings  map[string]int // maximum concurrency, by queue
	LogGroups map[string]int `json:"log_groups"` // retention in days
	Subnets   map[string]struct{ Zone, CIDR string }
	Routes    map[string][]string // targets of the default routes, by table
	Endpoints map[string]struct {
		Type   string
		Tables []string
	}
	Nats      map[string]struct{ Subnet, Allocation string }
	Addresses map[string]string // allocation id by address
	Given     map[string]string // parameters with moto's allocations in the place of the deployment's
	Topics    []string
}

type role struct {
	Managed  []any
	Policies []string // names
	Boundary string   // ARN of the permissions boundary
}

var (
	stacksOnce sync.Once
	stacksMade []stack
)

// stacks translates and creates every deployment, once for all tests.
func stacks(t *testing.T) []stack {
	t.Helper()
	needs.Python(t)
	stacksOnce.Do(func() {
		python(t, "stacks.py", "moto, samtranslator", "moto[server]' 'aws-sam-translator>=1.110", &stacksMade)
	})
	if len(stacksMade) == 0 {
		t.Fatal("stacks missing: see the first test that failed")
	}
	return stacksMade
}

func stackOf(t *testing.T, name string) stack {
	t.Helper()
	for _, s := range stacks(t) {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("unknown deployment %s", name)
	return stack{}
}

// byType lists the logical ids of a type, sorted.
func (s stack) byType(kind string) []string {
	var ids []string
	for id, r := range s.Translated.Resources {
		if r.Type == kind {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// text formats v as compact JSON.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func contains(v any, words ...string) bool {
	s := text(v)
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}
