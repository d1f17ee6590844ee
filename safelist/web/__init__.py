"""The page for users, helpdesk and auditors: GET alone, behind the site's own web server; one file a page."""
