package built_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/needs"
	"github.com/yunduo-scrm/archive/local/standin"
)

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

func TestEachThingIsBuiltOnce(t *testing.T) {
	needs.Compiler(t)
	for name, build := range map[string]func() string{
		"worker":   func() string { return built.Worker(t) },
		"function": func() string { return built.Function(t, "./testdata/function") },
		"library":  func() string { return built.Library(t, standin.Leaky(), standin.InitChecksSecret()) },
	} {
		paths := make([]string, 4)
		var wg sync.WaitGroup
		for i := range paths {
			wg.Go(func() { paths[i] = build() })
		}
		wg.Wait()
		for _, path := range paths {
			if path != paths[0] || path == "" {
				t.Errorf("%s: got paths %q, want one", name, paths)
			}
		}
		if _, err := os.Stat(paths[0]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if plain, leaky := built.Library(t), built.Library(t, standin.InitChecksSecret(), standin.Leaky()); filepath.Dir(plain) == filepath.Dir(leaky) {
		t.Errorf("got %s for two variants of the library", plain)
	}
	out, err := exec.CommandContext(t.Context(), built.Function(t, "./testdata/function")).Output()
	if err != nil || string(out) != "works\n" {
		t.Errorf("the function: got %q, %v", out, err)
	}
}
