// Command launcher starts a model server beside its guard and probes it over the unix socket that the two share.
//
// It is one static file without a shell, a resolver or an HTTP library, so that it runs inside any model image:
// the guard's container copies it into the pod, the model's container executes it from there.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// gitVersion is set at build time with -ldflags "-X main.gitVersion=…".
var gitVersion = "dev"

// Exit codes. A failed exec ends with the codes that shells use, so that `kubectl describe` reads as usual.
const (
	exitOK            = 0
	exitFailed        = 1
	exitUsage         = 2
	exitNotExecutable = 126
	exitNotFound      = 127
)

const usage = `usage:
  launcher install DIR
      copy this program to DIR/launcher
  launcher run --socket PATH [--end 30s] -- CMD [ARG…]
      remove a stale socket, set umask 0007 and become CMD; with --end start it and kill it so long after SIGTERM
  launcher probe http --socket PATH | --tcp HOST:PORT [--path /P] [--host H] [--header K=V]… [--timeout 1s]
      GET; succeeds on a status of 200 to 399
  launcher probe tcp --socket PATH | --tcp HOST:PORT [--timeout 1s]
      succeeds when a connection is accepted
  launcher drain --tcp HOST:PORT --path /draining --for 30s [--pid 1]
      send SIGUSR1 until GET says that the guard drains
  launcher hold --tcp HOST:PORT --path /drained --for 605s
      wait until GET says that the guard has drained, or nobody listens there any more
  launcher version
exit codes: 0 done, 1 failed, 2 wrong usage, 126 CMD cannot be executed, 127 CMD was not found
`

// command runs one subcommand.
type command func(arguments []string, stdout io.Writer) error

var commands = map[string]command{
	"install": install,
	"run":     run,
	"probe":   probe,
	"drain":   drain,
	"hold":    hold,
	"version": printVersion,
}

func main() {
	os.Exit(dispatch(os.Args[1:], os.Stdout, os.Stderr))
}

// dispatch runs the named subcommand and turns its error into one line and an exit code.
func dispatch(arguments []string, stdout, stderr io.Writer) int {
	if len(arguments) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	chosen, known := commands[arguments[0]]
	if !known {
		fmt.Fprintf(stderr, "launcher: there is no command %q\n%s", arguments[0], usage)
		return exitUsage
	}
	err := chosen(arguments[1:], stdout)
	if err == nil {
		return exitOK
	}
	if err.Error() != "" { // a model that ended says itself why
		fmt.Fprintf(stderr, "launcher: %s: %v\n", arguments[0], err)
	}
	return exitCode(err)
}

// codedError is an error that names its own exit code.
type codedError struct {
	code int
	text string
}

func (e codedError) Error() string { return e.text }

func usageError(format string, values ...any) error {
	return codedError{code: exitUsage, text: fmt.Sprintf(format, values...)}
}

func exitCode(err error) int {
	var coded codedError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitFailed
}

func printVersion(arguments []string, stdout io.Writer) error {
	if len(arguments) > 0 {
		return usageError("takes no arguments")
	}
	_, err := fmt.Fprintln(stdout, gitVersion)
	return err
}
