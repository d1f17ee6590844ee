#!/bin/sh
# A filter of OpenSMTPD that takes every client for listed, and rejects in the phase that it is given (smtpd-filters(7)).
while IFS='|' read -r kind version _ _ _ session token _; do
  case $kind in
  config) [ "$version" = ready ] && printf 'register|filter|smtp-in|%s\nregister|ready\n' "$1" ;;
  filter) printf 'filter-result|%s|%s|reject|550 listed\n' "$session" "$token" ;;
  esac
done
