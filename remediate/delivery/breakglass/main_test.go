package breakglass

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	helmcmd "helm.sh/helm/v4/pkg/cmd"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// programs are what the test binary is as well, by the name that it is called by.
var programs = []string{"helm", "kubectl"}

func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); slices.Contains(programs, name) {
		if err := program(name); err != nil {
			fmt.Fprintln(os.Stderr, "Error:", err)
			os.Exit(1)
		}
		return
	}
	log.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

func program(name string) error {
	if name == "kubectl" {
		return kubectlcmd.NewDefaultKubectlCommand().Execute()
	}
	root, err := helmcmd.NewRootCmd(os.Stdout, os.Args[1:], helmcmd.SetupLogging)
	if err != nil {
		return err
	}
	return root.Execute()
}
