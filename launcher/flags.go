package main

// How arguments are read: the standard flags, silent, with every complaint as a usage error.

import (
	"flag"
	"io"
	"strings"
)

func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

func parseFlags(flags *flag.FlagSet, arguments []string) error {
	if err := flags.Parse(arguments); err != nil {
		return usageError("%v", err)
	}
	if flags.NArg() > 0 {
		return usageError("unexpected argument %q", flags.Arg(0))
	}
	return nil
}

// header is one KEY=VALUE of a repeated flag.
type header struct{ name, value string }

type headerList []header

func (h *headerList) String() string { return "" }

func (h *headerList) Set(text string) error {
	name, value, found := strings.Cut(text, "=")
	if !found || !isToken(name) || !isFieldValue(value) {
		return usageError("want NAME=VALUE without line breaks")
	}
	*h = append(*h, header{name, value})
	return nil
}

// isToken says whether a header name is one by RFC 9110, section 5.6.2.
func isToken(text string) bool {
	for _, char := range []byte(text) {
		isAlphanumeric := char >= '0' && char <= '9' || char >= 'A' && char <= 'Z' || char >= 'a' && char <= 'z'
		if !isAlphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(char)) {
			return false
		}
	}
	return text != ""
}

// isFieldValue refuses control characters: a line break would smuggle a second header.
func isFieldValue(text string) bool {
	return !strings.ContainsFunc(text, func(char rune) bool { return char < ' ' && char != '\t' || char == 0x7f })
}
