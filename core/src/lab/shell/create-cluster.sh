#!/bin/sh
# Starts, joins, watches and stops the nodes of a small cluster on this machine, with their files
# in the current directory. A config.sh there may give the names below other values.
CLUSTER_HOST=127.0.0.1
PORT=30000
TIMEOUT=2000
NODES=6
REPLICAS=1
PROTECTED_MODE=yes
ADDITIONAL_OPTIONS=""
# The directory of redis-server and redis-cli; empty: those that are found without it.
BIN_PATH=""

if [ -f ./config.sh ]; then
    . ./config.sh
fi

server() {
    if [ -n "$BIN_PATH" ]; then
        "$BIN_PATH/redis-server" "$@"
    elif [ -n "$LIMPID" ]; then
        "$LIMPID" server "$@"
    else
        redis-server "$@"
    fi
}

cli() {
    if [ -n "$BIN_PATH" ]; then
        "$BIN_PATH/redis-cli" "$@"
    elif [ -n "$LIMPID" ]; then
        "$LIMPID" cli "$@"
    else
        redis-cli "$@"
    fi
}

FIRST=$((PORT+1))
LAST=$((PORT+NODES))

case "$1" in
    start|restart)
        for port in $(seq $FIRST $LAST); do
            echo "Starting $port"
            server --port $port --protected-mode $PROTECTED_MODE --cluster-enabled yes \
                --cluster-config-file nodes-$port.conf --cluster-node-timeout $TIMEOUT \
                --appendonly yes --appendfilename appendonly-$port.aof \
                --appenddirname appendonlydir-$port --dbfilename dump-$port.rdb \
                --logfile $port.log --daemonize yes $ADDITIONAL_OPTIONS
        done
        ;;
    create)
        addresses=""
        for port in $(seq $FIRST $LAST); do
            addresses="$addresses $CLUSTER_HOST:$port"
        done
        confirmed=""
        if [ "$2" = "-f" ]; then
            confirmed="--cluster-yes"
        fi
        cli --cluster create $addresses --cluster-replicas $REPLICAS $confirmed
        ;;
    stop)
        for port in $(seq $FIRST $LAST); do
            echo "Stopping $port"
            cli -h $CLUSTER_HOST -p $port shutdown nosave
        done
        ;;
    watch)
        while :; do
            clear
            date
            cli -h $CLUSTER_HOST -p $FIRST cluster nodes | head -30
            sleep 1
        done
        ;;
    tail)
        tail -f $((PORT+$2)).log
        ;;
    tailall)
        tail -f *.log
        ;;
    call)
        shift
        for port in $(seq $FIRST $LAST); do
            cli -h $CLUSTER_HOST -p $port "$@"
        done
        ;;
    clean)
        rm -rf *.log
        rm -rf appendonlydir-*
        rm -rf dump-*.rdb
        rm -rf nodes-*.conf
        ;;
    clean-logs)
        rm -rf *.log
        ;;
    *)
        echo "Usage: $0 [start|create|stop|restart|watch|tail|tailall|call|clean|clean-logs]"
        echo "start       -- Launch the nodes."
        echo "create [-f] -- Join them with redis-cli --cluster create (-f: without asking)."
        echo "stop        -- Stop the nodes."
        echo "restart     -- Launch nodes that were stopped."
        echo "watch       -- Show CLUSTER NODES of the first node every second."
        echo "tail <id>   -- Follow the log of the node at the base port + id."
        echo "tailall     -- Follow all logs."
        echo "call <cmd>  -- Send a command to every node."
        echo "clean       -- Remove data, logs and configuration of the nodes."
        echo "clean-logs  -- Remove only the logs."
        ;;
esac
