package main

// One HTTP/1.1 GET, framed by hand: net/http would triple the size of a file that every model pod copies.

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxStatusLineBytes bounds what is read from a server that may be anything; nothing after the status line is read.
const maxStatusLineBytes = 1024

type httpRequest struct {
	path, host string
	headers    headerList
}

func (r *httpRequest) declareFlags(flags *flag.FlagSet) {
	flags.StringVar(&r.path, "path", r.path, "")
	flags.StringVar(&r.host, "host", r.host, "")
	flags.Var(&r.headers, "header", "")
}

func (r *httpRequest) check() error {
	if !strings.HasPrefix(r.path, "/") || strings.ContainsFunc(r.path, isNotInPath) {
		return usageError("--path: %q must start with / and hold no blanks or line breaks", r.path)
	}
	if r.host == "" || strings.ContainsFunc(r.host, isNotInPath) {
		return usageError("--host: %q is not a host name", r.host)
	}
	return nil
}

func isNotInPath(char rune) bool { return char <= ' ' || char == 0x7f }

// exchange sends the request and judges the status as the kubelet does: 200 to 399 is success.
func (r *httpRequest) exchange(connection io.ReadWriter) error {
	if _, err := io.WriteString(connection, r.frame()); err != nil {
		return err
	}
	line, err := readStatusLine(connection)
	if err != nil {
		return err
	}
	status, err := parseStatusLine(line)
	if err != nil {
		return err
	}
	if status < 200 || status > 399 {
		return fmt.Errorf("GET %s answered with status %d", r.path, status)
	}
	return nil
}

func (r *httpRequest) frame() string {
	var text strings.Builder
	fmt.Fprintf(&text, "GET %s HTTP/1.1\r\n", r.path)
	for _, field := range r.fields() {
		fmt.Fprintf(&text, "%s: %s\r\n", field.name, field.value)
	}
	text.WriteString("\r\n")
	return text.String()
}

// fields puts the caller's headers over the defaults, as the kubelet does with httpHeaders: a Host of theirs wins.
func (r *httpRequest) fields() []header {
	var fields []header
	for _, preset := range []header{{"Host", r.host}, {"User-Agent", "bartizan-launcher/" + gitVersion}, {"Accept", "*/*"}} {
		if !r.headers.contain(preset.name) {
			fields = append(fields, preset)
		}
	}
	fields = append(fields, r.headers...)
	return append(fields, header{"Connection", "close"})
}

func (h headerList) contain(name string) bool {
	for _, field := range h {
		if strings.EqualFold(field.name, name) {
			return true
		}
	}
	return false
}

func readStatusLine(connection io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(connection, maxStatusLineBytes)).ReadString('\n')
	if err == nil {
		return strings.TrimRight(line, "\r\n"), nil
	}
	if !errors.Is(err, io.EOF) {
		return "", err
	}
	if len(line) == maxStatusLineBytes {
		return "", errors.New("the answer's first line is too long for HTTP")
	}
	return "", errors.New("the connection was closed before an answer")
}

func parseStatusLine(line string) (int, error) {
	protocol, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || !strings.HasPrefix(protocol, "HTTP/1.") {
		return 0, fmt.Errorf("the answer is not HTTP/1: %.60q", line)
	}
	return status, nil
}
