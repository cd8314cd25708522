// A Kafka cluster in one process, for tests: three brokers with TLS and SASL whose partitions change their leaders all the
// time, kept in a folder so that it can be killed and started again. Whatever comes to lie in its topic is written to a file
// by a client that is not Emote's, a line of JSON a record.
//
//	emote-kfake PORT,PORT,PORT CERTIFICATE KEY FOLDER RECORDS     (KAFKA_PASSWORD in the environment)
//
// Users are emote, who may do everything, and guest, who may do nothing.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

const (
	topic      = "emote.counted"
	partitions = 4
	// Larger batches are refused, in bytes.
	largest = "20000"
	// How often leaders change.
	shuffle = 150 * time.Millisecond
)

type record struct {
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Time      int64             `json:"time"`
	Key       string            `json:"key"`
	Value     string            `json:"value"`
	Headers   map[string]string `json:"headers"`
}

func main() {
	if len(os.Args) != 6 {
		log.Fatal("usage: emote-kfake PORT,PORT,PORT CERTIFICATE KEY FOLDER RECORDS")
	}
	var ports []int
	for _, text := range strings.Split(os.Args[1], ",") {
		port, err := strconv.Atoi(text)
		check(err)
		ports = append(ports, port)
	}
	pair, err := tls.LoadX509KeyPair(os.Args[2], os.Args[3])
	check(err)
	password := os.Getenv("KAFKA_PASSWORD")
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(len(ports)),
		kfake.Ports(ports...),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}}),
		kfake.EnableSASL(),
		kfake.EnableACLs(),
		kfake.Superuser("PLAIN", "emote", password),
		kfake.Superuser("SCRAM-SHA-256", "emote", password),
		kfake.Superuser("SCRAM-SHA-512", "emote", password),
		kfake.User("PLAIN", "guest", password),
		kfake.SeedTopics(partitions, topic),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": largest}),
		kfake.DataDir(os.Args[4]),
		kfake.SyncWrites(),
	)
	check(err)
	go func() {
		for range time.Tick(shuffle) {
			cluster.ShufflePartitionLeaders()
		}
	}()
	check(read(ports[0], password, os.Args[5]))
}

// Writes what lies in the topic, from its beginning, and what comes.
func read(port int, password, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(fmt.Sprintf("127.0.0.1:%d", port)),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SASL(plain.Auth{User: "emote", Pass: password}.AsMechanism()),
		kgo.DialTLSConfig(&tls.Config{InsecureSkipVerify: true}),
		kgo.MetadataMinAge(50*time.Millisecond),
	)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(file)
	for {
		fetches := client.PollFetches(context.Background())
		for _, failed := range fetches.Errors() {
			log.Print(failed.Err)
		}
		for records := fetches.RecordIter(); !records.Done(); {
			from := records.Next()
			to := record{from.Partition, from.Offset, from.Timestamp.UnixMilli(), string(from.Key), string(from.Value), map[string]string{}}
			for _, header := range from.Headers {
				to.Headers[header.Key] = string(header.Value)
			}
			if err := lines.Encode(to); err != nil {
				return err
			}
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
