package main

// How a model server is probed: the kubelet's httpGet and tcpSocket, over a unix socket that the kubelet cannot reach.

import (
	"io"
	"net"
	"time"
)

// defaultTimeout is the kubelet's own default for a probe.
const defaultTimeout = time.Second

type probeTarget struct {
	network, address string
	timeout          time.Duration
}

func probe(arguments []string, _ io.Writer) error {
	if len(arguments) == 0 {
		return usageError("name the kind: http or tcp")
	}
	switch arguments[0] {
	case "http":
		return probeHTTP(arguments[1:])
	case "tcp":
		return probeTCP(arguments[1:])
	default:
		return usageError("there is no kind %q; use http or tcp", arguments[0])
	}
}

func probeTCP(arguments []string) error {
	target, err := parseTarget(arguments, nil)
	if err != nil {
		return err
	}
	connection, err := dial(target)
	if err != nil {
		return err
	}
	return connection.Close()
}

func probeHTTP(arguments []string) error {
	request := httpRequest{path: "/", host: "localhost"}
	target, err := parseTarget(arguments, &request)
	if err != nil {
		return err
	}
	connection, err := dial(target)
	if err != nil {
		return err
	}
	defer connection.Close()
	return request.exchange(connection)
}

// parseTarget reads the flags that all probes share and, where request is given, those of the HTTP probe.
func parseTarget(arguments []string, request *httpRequest) (probeTarget, error) {
	var socket, tcp string
	var target probeTarget
	flags := newFlags("probe")
	flags.StringVar(&socket, "socket", "", "")
	flags.StringVar(&tcp, "tcp", "", "")
	flags.DurationVar(&target.timeout, "timeout", defaultTimeout, "")
	if request != nil {
		request.declareFlags(flags)
	}
	if err := parseFlags(flags, arguments); err != nil {
		return target, err
	}
	if request != nil {
		if err := request.check(); err != nil {
			return target, err
		}
	}
	return target.at(socket, tcp)
}

func (t probeTarget) at(socket, tcp string) (probeTarget, error) {
	if (socket == "") == (tcp == "") {
		return t, usageError("give either --socket or --tcp")
	}
	if t.timeout <= 0 {
		return t, usageError("--timeout: %v is not positive", t.timeout)
	}
	if tcp != "" {
		t.network, t.address = "tcp", tcp
		return t, checkTCP(tcp)
	}
	t.network, t.address = "unix", socket
	return t, checkSocketPath(socket)
}

func checkTCP(address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return usageError("--tcp: %q is not HOST:PORT", address)
	}
	return nil
}

// dial connects and sets one deadline for everything that follows.
func dial(target probeTarget) (net.Conn, error) {
	deadline := time.Now().Add(target.timeout)
	dialer := net.Dialer{Deadline: deadline}
	connection, err := dialer.Dial(target.network, target.address)
	if err != nil {
		return nil, err
	}
	return connection, connection.SetDeadline(deadline)
}
