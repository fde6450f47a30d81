package main

// How the launcher gets into a pod: it copies itself, so the image that carries it needs no cp.

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// installedMode lets every UID of the pod execute the copy and nobody write it.
const installedMode = 0o555

func install(arguments []string, _ io.Writer) error {
	if len(arguments) != 1 {
		return usageError("wants exactly one directory")
	}
	source, err := os.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("cannot read this program: %w", err)
	}
	defer source.Close()
	return copyAtomically(source, filepath.Join(arguments[0], "launcher"))
}

// copyAtomically writes beside the target and renames, so that a half-written copy is never executed.
func copyAtomically(source io.Reader, target string) error {
	partial, err := os.CreateTemp(filepath.Dir(target), ".launcher-*")
	if err != nil {
		return err
	}
	defer os.Remove(partial.Name())
	defer partial.Close()
	if _, err := io.Copy(partial, source); err != nil {
		return err
	}
	if err := partial.Chmod(installedMode); err != nil {
		return err
	}
	if err := partial.Close(); err != nil {
		return err
	}
	return os.Rename(partial.Name(), target)
}
