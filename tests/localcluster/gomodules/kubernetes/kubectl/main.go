// Command kubectl is the usual one, in a program of its own: tests call it
// hundreds of times, and the components beside it would make each start take
// twice the work.
package main

import (
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
)

func main() { // it prints its errors itself, and picks its exit codes
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}
