# Help goes to standard output and ends well; without a command it is an error.
sluice --help
sluice --version
sluice help | cmp - <(sluice --help)
for command in $(sluice --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
    sluice "$command" --help >text || echo "WRONG: $command --help fails"
    head -n 2 text
    # Whatever else the line holds, --help wins.
    sluice "$command" p.npy --help | cmp - text
    awk -v c="$command" 'length > 120 { print "WRONG: " c ": a help line of " length " characters: " $0 }' text
done
sluice
