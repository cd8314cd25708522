// Command site-of-address finds at which site an address is. The rule's input is {address, sites}, the sites by their
// networks: {"10.1.0.0/16": "Berlin"}. The smallest network that holds the address says; where none does, nothing is told.
package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
)

type job struct {
	Input struct {
		Address string            `json:"address"`
		Sites   map[string]string `json:"sites"`
	} `json:"input"`
}

type event struct {
	Scope  string            `json:"scope"`
	Action string            `json:"action"`
	Info   map[string]string `json:"info"`
}

func main() {
	if err := tell(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func tell() error {
	var job job
	if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil {
		return err
	}
	address, err := netip.ParseAddr(job.Input.Address)
	if err != nil {
		return err
	}
	site, smallest := "", -1
	for network, name := range job.Input.Sites {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return err
		}
		if prefix.Contains(address) && prefix.Bits() > smallest {
			site, smallest = name, prefix.Bits()
		}
	}
	if smallest < 0 {
		return nil
	}
	info := map[string]string{"address": address.String(), "site": site}
	return json.NewEncoder(os.Stdout).Encode(event{Scope: "site", Action: "changed", Info: info})
}
